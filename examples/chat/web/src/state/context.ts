import { createContext, useContext } from 'react'
import type { Chat } from './chat'

export const ChatContext = createContext<Chat | null>(null)

export function useChat(): Chat {
  const chat = useContext(ChatContext)
  if (!chat) throw new Error('useChat is for components inside of the chat')
  return chat
}
